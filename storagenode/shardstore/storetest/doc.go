// Package storetest holds the promises every storage node keeps, as tests: the
// real node and its in-memory twin both run them. It also makes the owners and
// records that tests of nodes need.
//
// Read Run first. The package is for tests only.
package storetest
