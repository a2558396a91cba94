package process

import (
	"testing"

	"github.com/cairn-store/cairn/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
