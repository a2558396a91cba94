// Package clients holds no code of its own: its tests run the S3 clients that
// people use against a running network, over http and over https, and write
// docs/compatibility.md from what they tried.
//
// Read check and trial in check_test.go first. A check is one thing that is
// tried with one client; it is run once per scheme, in a bucket of its own, and
// compares what the client did with what another client (the witness, in
// witness_test.go) finds in the bucket. The networks are started once per scheme
// and shared by all checks.
//
// The clients are the real programs, as make setup installs them; a program that
// is missing fails its checks. Only the mount is skipped, where the machine has
// no usable /dev/fuse. -short tries one or two things per client. After a full
// run in which everything passed, -update rewrites the page:
//
//	go test ./e2e/clients -update
package clients
