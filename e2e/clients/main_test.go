package clients

import (
	"os"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/e2e/harness"
)

func TestMain(m *testing.M) {
	forgetSettings()
	harness.Main(m)
}

// forgetSettings keeps the clients from using what the person who runs the
// tests has set up for other endpoints.
func forgetSettings() {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		upper := strings.ToUpper(name)
		if strings.HasSuffix(upper, "_PROXY") {
			_ = os.Unsetenv(name) // fails for impossible names only
		}
		for _, prefix := range []string{"AWS_", "RCLONE_", "RESTIC_", "MINIO_", "BOTO_"} {
			if strings.HasPrefix(upper, prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
}

// TestClients runs every check of every client, over http and then over https.
func TestClients(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			e := startNetwork(t, scheme)
			for _, c := range all() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.try(t, e)
				})
			}
		})
	}
	if *update && !t.Failed() {
		must(t, writePage())
	}
}
