"""Program -> artifact: one family of targets a sub-package; siblings do not import each other."""
