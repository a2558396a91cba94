package apitest

import (
	"testing"
)

// Run checks the server at endpoint. It must be in us-east-1 and belong to the
// key alone.
func Run(t *testing.T, endpoint, accessKey, secret string) {
	c := NewClient(endpoint, "us-east-1", accessKey, secret)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Client)
	}{
		{"buckets", testBuckets},
		{"object round trip", testRoundTrip},
		{"keys", testKeys},
		{"attributes", testAttributes},
		{"ranges", testRanges},
		{"conditional reads", testConditionalReads},
		{"conditional writes", testConditionalWrites},
		{"digests", testDigests},
		{"framings", testFramings},
		{"listing", testListing},
		{"list versions", testListVersions},
		{"delete objects", testDeleteObjects},
		{"copy", testCopy},
		{"multipart", testMultipart},
		{"multipart checksums", testMultipartChecksums},
		{"multipart errors", testMultipartErrors},
		{"list uploads", testListUploads},
		{"presigned", testPresigned},
		{"settings", testSettings},
		{"cors", testCORS},
		{"tagging", testTagging},
		{"policy", testPolicy},
		{"form uploads", testForms},
		{"unsupported", testUnsupported},
		{"sdk", testSDK},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}
