// Package cors decides which pages of other origins may read answers: S3's CORS
// rules, as the owner of a bucket set them.
//
// Read Config first: it is a bucket's list of rules; Match answers a request.
// Check refuses rules that S3 refuses, and every text that could not stand in a
// header, so that what Match returns can be sent as it is.
//
// The package is pure: values in, values out. Its caller reads and writes the
// XML, and answers with the headers.
package cors
