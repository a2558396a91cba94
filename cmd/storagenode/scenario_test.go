package main

import (
	"testing"

	"github.com/cairn-store/cairn/internal/scenario"
)

func TestScenarios(t *testing.T) {
	scenario.Run(t, scenario.Config{Programs: map[string]scenario.Program{"storagenode": newApp}})
}
