package bench

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// report is everything one run found.
type report struct {
	Machine string         `json:"machine"`
	Client  string         `json:"client"`
	Floors  []floor        `json:"floors"`
	Targets []targetReport `json:"targets"`
}

type targetReport struct {
	Name    string           `json:"name"`
	Results []result         `json:"results"`
	Memory  map[string]int64 `json:"peak_rss_bytes"` // of the largest process by class
}

// describeMachine says what the figures depend on.
func describeMachine(t *testing.T) string {
	t.Helper()
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	busy := ""
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		busy = ", load before the run " + strings.Join(strings.Fields(string(b))[:1], "")
	}
	return fmt.Sprintf("%s, %d processors, %s%s", model, runtime.NumCPU(), runtime.Version(), busy)
}

// relate fills in how results compare with the floor.
func (r *report) relate() {
	for _, target := range r.Targets {
		for i := range target.Results {
			c := &target.Results[i]
			servers := c.CPUMillisPerOp
			at := slices.IndexFunc(r.Floors, func(f floor) bool { return f.Bytes == c.Bytes })
			if at < 0 || len(servers) < 2 {
				continue // nobody's CPU was watched
			}
			used := total(servers) - servers[classClient]
			c.TimesFloor = used / r.Floors[at].sum(c.Op, false)
			c.TimesSigned = used / r.Floors[at].sum(c.Op, true)
		}
	}
}

func total(m map[string]float64) (sum float64) {
	for _, v := range m {
		sum += v
	}
	return sum
}

// print writes the tables.
func (r report) print(out io.Writer) {
	fmt.Fprintf(out, "%s\n%s\n", r.Machine, r.Client)
	for _, target := range r.Targets {
		fmt.Fprintf(out, "\n%s\n\n", target.Name)
		target.printSpeed(out)
		fmt.Fprintln(out)
		target.printCost(out)
		for _, class := range slices.Sorted(maps.Keys(target.Memory)) {
			fmt.Fprintf(out, "\npeak memory, %s: %d MiB", class, target.Memory[class]>>20)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "\nfloor: the primitives of one request, CPU s/GiB (Ed25519: ms per request)\n\n")
	r.printFloors(out)
}

func table(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (t targetReport) printSpeed(out io.Writer) {
	w := table(out)
	fmt.Fprintln(w, "op\tsize\tclients\tn\tMB/s\tops/s\tp50 ms\tp99 ms\t")
	for _, c := range t.Results {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.1f\t%.1f\t%.2f\t%.2f\t\n", c.Op, c.Size, c.Clients, c.Ops, c.MBPerSecond, c.OpsPerSecond, c.P50Millis, c.P99Millis)
	}
	_ = w.Flush() // a table that stdout does not take is not seen
}

// classes returns the classes in the order of the table, the client last.
func (t targetReport) classes() []string {
	names := slices.Sorted(maps.Keys(t.Results[0].CPUMillisPerOp))
	names = slices.DeleteFunc(names, func(n string) bool { return n == classClient })
	return append(names, classClient)
}

func (t targetReport) printCost(out io.Writer) {
	w := table(out)
	classes := t.classes()
	fmt.Fprint(w, "op\tsize\tclients\t")
	for _, unit := range []string{"s/GiB", "ms/op"} {
		for _, class := range append(slices.Clone(classes), "all") {
			fmt.Fprintf(w, "%s %s\t", class, unit)
		}
	}
	fmt.Fprintln(w, "x floor\tx signed\twritten/byte\t")
	for _, c := range t.Results {
		fmt.Fprintf(w, "%s\t%s\t%d\t", c.Op, c.Size, c.Clients)
		for _, m := range []map[string]float64{c.CPUPerGiB, c.CPUMillisPerOp} {
			for _, class := range classes {
				fmt.Fprintf(w, "%.2f\t", m[class])
			}
			fmt.Fprintf(w, "%.2f\t", total(m))
		}
		fmt.Fprintf(w, "%.2f\t%.2f\t%.2f\t\n", c.TimesFloor, c.TimesSigned, c.WrittenPerByte)
	}
	_ = w.Flush()
}

func (r report) printFloors(out io.Writer) {
	w := table(out)
	for _, op := range []string{opPut, opGet} {
		for _, f := range r.Floors {
			of := f.Put
			if op == opGet {
				of = f.Get
			}
			perGiB := float64(1<<30) / float64(f.Bytes) / 1e3
			fmt.Fprintf(w, "%s %s %s\t", op, f.Size, f.Scheme)
			for _, name := range slices.Sorted(maps.Keys(of)) {
				if name == signatures {
					fmt.Fprintf(w, "%s %.2f ms\t", name, of[name])
					continue
				}
				fmt.Fprintf(w, "%s %.2f\t", name, of[name]*perGiB)
			}
			fmt.Fprintf(w, "sum %.2f = %.2f ms\t\n", f.sum(op, false)*perGiB, f.sum(op, false))
		}
	}
	_ = w.Flush()
}
