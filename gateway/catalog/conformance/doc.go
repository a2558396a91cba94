// Package conformance is the suite every catalog passes.
//
// Run takes a function that opens an empty catalog and checks each promise of
// catalog.Catalog in a subtest of its own; among them a long run of random
// batches against the obvious twin in catalog/memory, and a race for one key
// whose history is checked for linearizability. Dump and Count are for tests
// that compare or check a whole catalog, such as crash tests.
package conformance
