// Package harness runs Cairn as its users do: real storagenode and cairn
// processes on this machine, for tests that kill, restart and recover them.
//
// Read Network and Options first: New starts a network, and its methods kill
// nodes, delete the gateway's directory, damage stored shards and recover an
// owner. Process is one running program with its log and its figures.
//
// Both programs are built once per test process, unless CAIRN_E2E_BIN names a
// directory that has them. A package whose tests use the harness ends its
// TestMain with harness.Main, which removes them.
//
// Everything listens on 127.0.0.1. Only processes started here are ended, each
// by its own handle; all of them end with the test, and with the test process
// should it die. A failed test prints the end of every log.
package harness
