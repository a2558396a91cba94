// Package checksum computes and combines the digests S3 keeps of an object:
// the five additional checksums, the ETag of a multipart upload, and what
// becomes of the parts' checksums when an upload is completed.
//
// Read New first, then Multipart. Everything here is pure.
//
// A checksum has two shapes. FULL_OBJECT is the checksum of all bytes; for the
// CRCs it is computed from the parts' CRCs and lengths alone (Combine).
// COMPOSITE is the checksum of the parts' checksums, followed by "-N".
package checksum
