package harness

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metric returns a figure without labels that a console or admin listener at
// addr publishes.
func Metric(addr, name string) (float64, error) {
	resp, err := healthClient.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("ask for metrics: %w", err)
	}
	defer resp.Body.Close() // it is only read
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("ask for metrics: %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	return 0, fmt.Errorf("%s publishes no %s", addr, name)
}

// WaitUndone waits until the gateway has undone what an earlier process left
// half written: before, a recovery may bring it back.
func (n *Network) WaitUndone() {
	n.t.Helper()
	Eventually(n.t, stopLimit, "failed writes are undone", func() error {
		left, err := Metric(n.Gateway.Console, "gateway_unfinished_writes")
		if err == nil && left > 0 {
			err = fmt.Errorf("%v are left", left)
		}
		return err
	})
}
