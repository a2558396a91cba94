// Package form reads uploads that browsers make with an HTML form:
// multipart/form-data with some fields, a signed policy among them, and a file.
//
// Read Reader first. Its Fields come before the file and are small; Policy says
// what they may be. Both are to be checked before File, which gives the bytes.
//
// # How long the file is
//
// A store must know the length of what it is given, and a form does not tell it:
// only the length of the whole body is known. When what is left of the body
// after the fields is small (MaxBuffered), it is read, and the file ends where
// the next boundary begins; fields behind it are ignored, as on S3. When it is
// not, nothing is guessed from the middle: the file must be the last field, so
// that its length is what is left minus the closing boundary and line break.
// While it is read, a boundary that comes earlier, or an end that is not the
// closing boundary, is an error, which the last bytes wait for. So a large form
// with a field behind the file is refused, and never stored wrongly.
//
// The package is pure: it reads from an io.Reader and knows nothing of HTTP.
package form
