package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is the longest any run of a program may take. It is there so that a
// hanging client fails its check and not the whole run.
const patience = 2 * time.Minute

// find returns the path of a program. /usr/bin comes first: that is where make
// setup puts the versions the page names. CAIRN_TEST_<NAME> names another one.
func find(t testing.TB, name string) string {
	t.Helper()
	if path := os.Getenv("CAIRN_TEST_" + strings.ToUpper(name)); path != "" {
		return path
	}
	for _, path := range []string{"/usr/bin/" + name, name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed; run: make setup", name)
	return ""
}

// outcome is how a program ended.
type outcome struct {
	stdout, stderr string
	err            error // nil if it exited with 0
}

// start runs a program to its end with nothing in its environment but what a
// user would have set, plus env.
func (tr *trial) start(t testing.TB, env []string, stdin, program string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, find(t, program), args...)
	cmd.Dir = tr.dir
	cmd.Env = append(tr.environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return outcome{stdout.String(), stderr.String(), err}
}

// run runs a program that has to succeed, and returns what it printed.
func (tr *trial) run(t testing.TB, program string, args ...string) string {
	t.Helper()
	return tr.runWith(t, nil, "", program, args...)
}

func (tr *trial) runWith(t testing.TB, env []string, stdin, program string, args ...string) string {
	t.Helper()
	o := tr.start(t, env, stdin, program, args...)
	if o.err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), o.err, clip(o.stdout), clip(o.stderr))
	}
	return o.stdout
}

// refused runs a program that has to fail and to say why.
func (tr *trial) refused(t testing.TB, reason, program string, args ...string) {
	t.Helper()
	o := tr.start(t, nil, "", program, args...)
	if said := o.stdout + o.stderr; o.err == nil || !strings.Contains(said, reason) {
		t.Fatalf("%s %s: ended with %v, want a failure that says %q:\n%s",
			program, strings.Join(args, " "), o.err, reason, clip(said))
	}
}

// clip keeps the end of a long output, where the reason is.
func clip(s string) string {
	const most = 4000
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// environ is the environment of every program: the credentials as
// credentials.env gives them, and a home of its own.
func (tr *trial) environ() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tr.home, "TMPDIR=" + tr.home, "LC_ALL=C.UTF-8", "PYTHONUTF8=1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"AWS_ACCESS_KEY_ID=" + tr.accessKey, "AWS_SECRET_ACCESS_KEY=" + tr.secretKey,
		"AWS_ENDPOINT_URL=" + tr.url, "AWS_REGION=" + tr.region, "AWS_DEFAULT_REGION=" + tr.region,
	}
	if tr.caFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+tr.caFile)
	}
	return env
}

// proxied makes programs reach the virtual hosts, whose names no resolver
// knows.
func (tr *trial) proxied() []string {
	return []string{"http_proxy=" + tr.proxy, "https_proxy=" + tr.proxy, "HTTP_PROXY=" + tr.proxy, "HTTPS_PROXY=" + tr.proxy}
}

// firstLine is for programs that print their version on it.
func firstLine(program string, args ...string) func(testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), find(t, program), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ask %s for its version: %v\n%s", program, err, out)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
}

// decode reads what a program said as JSON.
func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("decode what the client said: %v\n%s", err, clip(text))
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}
