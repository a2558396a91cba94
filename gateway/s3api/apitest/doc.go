// Package apitest checks that a server behaves as S3 does, over the wire, and
// that a Store behaves as the reference model does, call by call. Only tests
// import it.
//
// Run sends requests, most of them made and signed here byte by byte, some by
// the AWS SDK, to any endpoint that speaks S3 and has the given credentials; it
// makes the buckets it needs. Compare drives two Stores with the same random
// operations and reports the first answer in which they differ, with the seed
// that shows it again.
package apitest
