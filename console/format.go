package console

import (
	"fmt"
	"html/template"
	"time"
)

// functions are what the page needs beside the values.
var functions = template.FuncMap{
	"bytes": bytesText,
	"since": func(now, t time.Time) string { return now.Sub(t).Round(time.Second).String() },
	"used": func(capacity, free int64) string {
		if capacity <= 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f %%", 100*float64(capacity-free)/float64(capacity))
	},
	"rtt": func(ms float64) string {
		if ms == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f ms", ms)
	},
}

func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/step, 0
	for v >= step && unit < 5 {
		v /= step
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}
