package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway/sigv4"
	"github.com/cairn-store/cairn/internal/scenario"
)

func TestScenarios(t *testing.T) {
	scenario.Run(t, scenario.Config{
		Programs: map[string]scenario.Program{"cairn": newApp},
		Commands: map[string]func(*scenario.Story, []string) string{"s3": s3Request},
	})
}

// s3Request sends one signed request: s3 DIR METHOD PATH [BYTES]. DIR's
// credentials.env says where to and as whom.
func s3Request(s *scenario.Story, args []string) string {
	env, err := readEnv(args[0] + "/credentials.env")
	if err != nil {
		return "failed: " + err.Error() + "\n"
	}
	size := 0
	if len(args) > 3 {
		if size, err = strconv.Atoi(args[3]); err != nil {
			return "failed: " + err.Error() + "\n"
		}
	}
	body := strings.NewReader(strings.Repeat("stone ", size/6+1)[:size])
	r, err := http.NewRequestWithContext(s.T.Context(), args[1], env["AWS_ENDPOINT_URL"]+args[2], body)
	if err != nil {
		return "failed: " + err.Error() + "\n"
	}
	signer := sigv4.Signer{AccessKey: env["AWS_ACCESS_KEY_ID"], SecretKey: sigv4.Secret(env["AWS_SECRET_ACCESS_KEY"]), Region: env["AWS_REGION"]}
	if _, err := signer.Sign(r, "UNSIGNED-PAYLOAD", time.Now()); err != nil {
		return "failed: " + err.Error() + "\n"
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "failed: " + err.Error() + "\n"
	}
	defer resp.Body.Close()
	return fmt.Sprintf("%d, %d bytes\n", resp.StatusCode, max(resp.ContentLength, 0))
}

// readEnv reads NAME=VALUE lines as a shell would.
func readEnv(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			env[name] = strings.Trim(value, "'")
		}
	}
	return env, nil
}
