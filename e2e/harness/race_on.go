//go:build race

package harness

// raceEnabled builds the programs with the race detector, like the tests.
const raceEnabled = true
