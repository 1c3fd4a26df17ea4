"""Pictures and sound: predictors of samples in two dimensions and in time, in exact integers."""
