package storagetest

import "testing"

var transactionCases = map[string]func(*testing.T, store){}

var concurrencyCases = map[string]func(*testing.T, store){}

var modelCases = map[string]func(*testing.T, store){}
