package diff

// QuoteName is how git prints a path.
func QuoteName(name string) string { return quoteName("", name) }
