package bench

import (
	"encoding/json"
	"flag"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-store/cairn/e2e/harness"
)

var flags = struct {
	measure                                 *bool
	json, cells, targets                    *string
	span                                    *time.Duration
	endpoint, access, secret, region, watch *string
}{
	measure:  flag.Bool("measure", false, "measure at full length and print the figures"),
	json:     flag.String("json", "", "write the figures to this file, too"),
	cells:    flag.String("cells", "64MiB@1,64MiB@4,1MiB@1,1MiB@16,4KiB@16,4KiB@64", "sizes and numbers of clients"),
	targets:  flag.String("targets", "processes,up", "what to measure: processes, up"),
	span:     flag.Duration("for", 2*time.Second, "length of each measurement"),
	endpoint: flag.String("endpoint", os.Getenv("ENDPOINT"), "URL of another S3 server, measured instead"),
	access:   flag.String("access-key", os.Getenv("ACCESS_KEY"), "access key of that server"),
	secret:   flag.String("secret-key", os.Getenv("SECRET_KEY"), "secret key of that server"),
	region:   flag.String("region", envOr("REGION", "us-east-1"), "region of that server"),
	watch:    flag.String("watch", os.Getenv("WATCH"), "its processes on this machine, NAME=PID[+PID...],..."),
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func TestMain(m *testing.M) {
	flag.Parse()
	harness.Main(m)
}

// TestBench measures what the flags say. Without -measure it is a short run
// that fails when a figure is missing.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network")
	}
	cells, span, starts := *flags.cells, *flags.span, openTargets(t)
	if !*flags.measure {
		cells, span, starts = "1MiB@2,4KiB@4", 50*time.Millisecond, starts[:1]
	}
	r := report{Machine: describeMachine(t), Client: clientName}
	plan := parseCells(t, cells)
	r.Floors = measureFloors(t, plan)
	for _, start := range starts {
		t.Run(start.name, func(t *testing.T) {
			r.Targets = append(r.Targets, measureTarget(t, start.open(t), plan, span))
		})
	}
	r.relate()
	if *flags.measure {
		r.print(os.Stdout)
	}
	checkComplete(t, r)
	if *flags.json != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		must(t, err)
		must(t, os.WriteFile(*flags.json, append(b, '\n'), 0o644))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkComplete fails when a figure was not taken.
func checkComplete(t *testing.T, r report) {
	t.Helper()
	for _, target := range r.Targets {
		for _, c := range target.Results {
			if c.Ops == 0 || c.MBPerSecond <= 0 || c.P50Millis <= 0 || c.P99Millis < c.P50Millis {
				t.Errorf("%s: %s %s: speed is missing: %+v", target.Name, c.Op, c.Size, c)
			}
			for class, cpu := range c.CPUMillisPerOp {
				if cpu < 0 || *flags.measure && cpu == 0 {
					t.Errorf("%s: %s %s: %v CPU ms per operation of %s", target.Name, c.Op, c.Size, cpu, class)
				}
			}
			if c.Op == opPut && len(target.Memory) > 0 && c.WrittenPerByte < 1 && !inMemory(t) {
				t.Errorf("%s: %s %s: %v bytes written per byte stored, want at least 1", target.Name, c.Op, c.Size, c.WrittenPerByte)
			}
		}
		for class, m := range target.Memory {
			if m <= 0 {
				t.Errorf("%s: %s holds %d bytes", target.Name, class, m)
			}
		}
	}
}

// inMemory reports whether the networks' directories are in memory, where
// nothing counts as written to disk.
func inMemory(t *testing.T) bool {
	t.Helper()
	const tmpfs = 0x01021994
	var fs syscall.Statfs_t
	must(t, syscall.Statfs(os.TempDir(), &fs))
	return fs.Type == tmpfs
}
