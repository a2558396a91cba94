// Package memory keeps a catalog in plain maps: the obvious twin that other
// catalogs are compared with, and what tests use that want no disk.
//
// Everything is sorted when it is asked for and counted when it is counted, so
// nothing in here can be out of step with anything else. It is safe for
// concurrent use, it is lost with the process, and it is slow above some ten
// thousand keys; catalog/pebble is the one to run.
package memory
