// Package lifecycle starts the parts of a process in order and stops them in
// reverse.
//
// Read Service and Group first. A part is started once everything it stands on
// is ready, and stopped before it; when any part fails, all are stopped. The
// whole stop has one deadline, and what outlives it is named in the error
// rather than waited for. Run returns nil when the process was asked to stop
// and every part did.
//
// Signals are left to main: it hands in a context that ends.
package lifecycle
