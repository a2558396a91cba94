// Package bench measures a whole Cairn from where its users stand: a real S3
// client (minio-go, bodies signed) puts and gets objects of 64 MiB, 1 MiB and
// 4 KiB over http, and /proc says what the processes behind the endpoint paid.
//
// "make bench" runs TestBench with -measure and prints speed, latency, CPU,
// bytes written and memory of six node processes with a gateway, and of "cairn
// up", beside the floor: what the hashes, ciphers and codes of one request cost
// alone, measured in the same run. Without -measure a small run proves that
// every figure is taken. Read result, in load_test.go, and floor_test.go first.
//
//	make bench JSON=figures.json ARGS='-cells 1MiB@16,4KiB@64 -targets up -for 10s'
//	make bench ENDPOINT=http://host:port ACCESS_KEY=... SECRET_KEY=...
//
// Another server's CPU and memory are counted when -watch names its processes.
// docs/performance.md has the figures and says how to read them.
package bench
