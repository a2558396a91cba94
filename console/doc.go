// Package console is what a gateway or a node says of itself over HTTP: health,
// metrics and a status page.
//
// Read Handler and Status first. /livez answers while the process does;
// /readyz answers 200 when reads can be served and /readyz?write when writes
// can; /metrics is for Prometheus; / is a page for people, rendered here and
// without scripts, and says "ok" only while nothing is known to be short.
//
// Everything served here can be read by whoever reaches the listener: no names
// of buckets or keys, no addresses of owners, nothing secret. What is not for
// everybody goes over the control socket (internal/control).
package console
