// Package s3api speaks S3 over HTTP: it routes requests, checks who sent them,
// reads and writes S3's headers and XML, and gives every failure its S3 error
// code. It stores nothing; Store does.
//
// Read Store first, then routes in route.go. A request passes these stages, and
// the first refusal ends it:
//
//	limits -> target (bucket, key) -> route -> signature -> authorize ->
//	headers -> Store, which refuses before it reads the body -> body
//
// so that 403, 404 and 412 reach a client that sent "Expect: 100-continue"
// before it has sent a byte of the body. Keys are opaque bytes: the path is
// decoded once and never cleaned. Bodies of objects are streamed both ways.
//
// Who may do what is decided in authorize alone, by the bucket's policy (package
// policy). Two things come before it because they must: the CORS headers, so that
// a script can read a refusal too (package cors), and the fields of a form, which
// is signed inside (package form). docs/s3.md lists every operation.
//
// A Handler is safe for concurrent use and owns no goroutine that outlives a
// request. What a client can send is bounded in size, depth, number and time;
// what the Store reports and S3 has no code for is logged and answered with
// InternalError, never quoted.
package s3api
