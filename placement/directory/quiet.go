package directory

import (
	"log/slog"
	"os"
	"sync"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
)

// quietLibraries stops libp2p, kad-dht and quic-go from writing to stderr:
// what matters to people is reported through our own errors and logger. Each of
// the three has a switch of its own, all of them for the whole process; who
// debugs the libraries sets GOLOG_LOG_LEVEL and gets them back.
var quietLibraries = sync.OnceFunc(func() {
	const quicWarning = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(quicWarning); !set {
		_ = os.Setenv(quicWarning, "true") // fails only for malformed names
	}
	if os.Getenv("GOLOG_LOG_LEVEL") != "" {
		return
	}
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	golog.SetupLogging(golog.Config{Level: golog.LevelFatal})
})
