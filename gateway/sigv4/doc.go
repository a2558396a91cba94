// Package sigv4 checks AWS Signature Version 4 as S3 uses it, and decodes
// request bodies in the framings S3 clients send.
//
// Read Verifier and Auth first. A server calls Verify before anything rewrites
// r.URL, r.Host or r.Header, because those are what the client signed; then it
// authorises Auth.Identity, and only then asks Auth.Body for the bytes, so that
// a refused upload is refused before the client sends it (Expect: 100-continue).
//
//	auth, err := verifier.Verify(r)   // header, presigned URL, or anonymous
//	body, err := auth.Body(r)         // plain, or aws-chunked in three modes
//	io.Copy(dst, body)                // fails instead of ending when bytes lie
//	sums := body.Trailer()            // after the end only
//
// What Body promises: every digest, chunk signature, trailer signature and
// length has been checked before the last byte is handed out, hence before
// io.EOF. Bytes before the last one may be handed out while the chunk they
// belong to is still unverified, so whoever stores them must be able to
// discard them when a later Read fails. Memory per body is a few KiB whatever
// sizes the client declares.
//
// Failures that the client caused are *Error with S3's code, S3's sentence and
// the extra elements S3 puts into the XML; the HTTP status belongs to s3api.
// Other errors come from the credential lookup or from the connection.
//
// A Verifier and an Auth are safe for concurrent use, a Body is not. The
// package keeps no state but a bounded cache of derived signing keys. It leaves
// to others: whether the identity may do the thing, checksums named in
// trailers, replay (inherent within the 15 minutes S3 allows; use TLS), and
// the contents of POST policies.
package sigv4
