# Arguments: rows (CSV: task, y, features), output (CSV), burn-in, draws, seed.
suppressMessages(library(MCMCpack))
arguments <- commandArgs(trailingOnly = TRUE)
rows <- read.csv(arguments[1])
features <- setdiff(names(rows), c("task", "y"))
right <- paste(features, collapse = " + ")
d <- length(features) + 1
# Collinear features have no least-squares estimate, which the sampler would start from.
start <- coef(lm(as.formula(paste("y ~", right)), rows))
start[is.na(start)] <- 0
seconds <- system.time(
  fit <- MCMChregress(
    fixed = as.formula(paste("y ~", right)), random = as.formula(paste("~", right)),
    group = "task", data = rows,
    burnin = as.integer(arguments[3]), mcmc = as.integer(arguments[4]), thin = 1, verbose = 0,
    seed = as.integer(arguments[5]), beta.start = start,
    mubeta = 0, Vbeta = 6.25, r = d + 1, R = diag(0.1, d), nu = 0.001, delta = 0.001
  )
)[["elapsed"]]
draws <- as.data.frame(as.matrix(fit$mcmc))
kept <- draws[, grepl("^beta\\.|^VCV\\.|^sigma2$", names(draws))]
write.csv(kept, arguments[2], row.names = FALSE)
cat(seconds, as.character(packageVersion("MCMCpack")), "\n")
