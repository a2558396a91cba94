// Package certs has the TLS certificates of a gateway's S3 endpoint.
//
// Read Parse and Source first. Certificates come from files, which are read
// again when they change, or are made here: a certificate authority of this
// installation's own, kept in a directory, signs a short-lived server
// certificate for the names given, and signs the next one long before the
// first expires. Clients trust the authority's certificate (CAFile).
//
// Keys are written with mode 0600, whole or not at all. A Source is safe for
// concurrent use.
package certs
