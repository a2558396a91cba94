package process

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cairn-store/cairn/e2e/harness"
)

// TestObjectsComeBackFromLooseShardFiles exports what four of six stopped nodes
// keep to files, and decodes them with the phrase and nothing else.
func TestObjectsComeBackFromLooseShardFiles(t *testing.T) {
	n := harness.New(t, harness.Options{})
	client := n.S3()
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("quarry")}); err != nil {
		t.Fatal(err)
	}
	objects := map[string][]byte{}
	for i, size := range []int{0, 5, 100_000, 200_000, 5 << 20, 70 << 20} {
		data := make([]byte, size)
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		for j := range data {
			data[j] = byte(rnd.Uint32())
		}
		key := fmt.Sprintf("dir/object %d", i)
		objects[key] = data
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("quarry"), Key: aws.String(key), Body: bytes.NewReader(data),
		}); err != nil {
			t.Fatal(err)
		}
	}
	n.StopGateway()
	shards, restored := filepath.Join(n.Dir, "shards"), filepath.Join(n.Dir, "restored")
	for i := range n.Nodes {
		n.StopNode(i)
		if i == 1 || i == 4 {
			continue // lost
		}
		if r := harness.Run(t, harness.StorageNode(t), "export", "--dir", n.Nodes[i].Dir, "--out", shards); r.Code != 0 {
			t.Fatalf("export: %v", r)
		}
	}
	if r := harness.Run(t, harness.Cairn(t), "decode", shards, "--phrase-file", n.Gateway.PhraseFile, "--out", restored); r.Code != 0 {
		t.Fatalf("decode: %v", r)
	}
	for key, data := range objects {
		got, err := os.ReadFile(filepath.Join(restored, "quarry", key))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q restored: %v, or other bytes", key, err)
		}
	}
	files := 0
	err := filepath.WalkDir(restored, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil || files != len(objects) {
		t.Errorf("%d files restored, %v, want %d", files, err, len(objects))
	}
}
