// Package scenario tells stories about command lines: a file with commands and,
// below each, what became visible. A test runs the commands in an empty
// directory and compares; with -update it writes the file anew, to be read in
// the diff. Only tests import it.
//
// Read Run first. A story looks like this:
//
//	# a remark
//	$ cairn init --dir d
//	! cairn: read command line: ...
//	exit 2
//
// Lines of stdout stand as they are, those of stderr behind "! ". What differs
// from run to run (ports, ids, times) is replaced by a word in capitals.
package scenario
