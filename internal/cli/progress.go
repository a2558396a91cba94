package cli

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far long work is. On a terminal it is a bar on stderr;
// elsewhere it says nothing, so that logs stay readable. It is safe for
// concurrent use.
type Progress struct {
	mu  sync.Mutex // guards bar
	bar *progressbar.ProgressBar
}

// Progress starts a bar. total < 0 means that the end is not known yet; bytes
// says that the units are bytes.
func (a *App) Progress(what string, total int64, bytes bool) *Progress {
	if !a.IO.ErrTerminal || a.JSON || a.Quiet {
		return &Progress{}
	}
	return &Progress{bar: progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.IO.Err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(bytes),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(total > 0),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(24),
	)}
}

// Set moves the bar to done of total. A failure to draw is no failure of the
// work and is ignored.
func (p *Progress) Set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	if total > 0 && p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	_ = p.bar.Set64(done)
}

// Describe says what is being done now.
func (p *Progress) Describe(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// Write counts the bytes that pass, for io.TeeReader and io.MultiWriter.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Add(len(b))
	}
	return len(b), nil
}

// Done removes the bar.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
