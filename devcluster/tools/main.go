// Command devcluster-tools is the small Go half of the supervisor: what must start in
// milliseconds and stay small (PID 1, relays) or what Python's standard library cannot do (X.509).
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: devcluster-tools init|node-init|relay|delay|certs ..."))
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "init":
		os.Exit(runInit(args))
	case "node-init":
		os.Exit(runNodeInit(args))
	case "relay":
		fail(runRelay(args))
	case "delay":
		fail(runDelay(args))
	case "certs":
		fail(runCerts(args))
	default:
		fail(fmt.Errorf("no tool %q", os.Args[1]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "devcluster-tools:", err)
		os.Exit(1)
	}
}
