package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	restartDelay = time.Second
	socketLimit  = 30 * time.Second
	socketPoll   = 20 * time.Millisecond
)

// process is one long-running program of a node. After names a socket that must exist first.
type process struct {
	Name    string   `json:"name"`
	Command []string `json:"command"`
	Log     string   `json:"log"`
	After   string   `json:"after"`
}

// runNodeInit is PID 1 of a node. It waits for a line on standard input (the network is wired
// from outside meanwhile), keeps the node's processes running and reaps its containers.
// Killing it is a power cut: its PID namespace takes every process, mount and address along.
func runNodeInit(args []string) int {
	if len(args) != 1 {
		fail(fmt.Errorf("usage: node-init SPEC.json"))
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		fail(err)
	}
	var processes []process
	if err := json.Unmarshal(raw, &processes); err != nil {
		fail(fmt.Errorf("%s: %w", args[0], err))
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		fail(fmt.Errorf("node-init: no word that the network is ready: %w", err))
	}
	node := &nodeInit{running: map[int]process{}}
	for _, each := range processes {
		node.start(each, 0)
	}
	for {
		pid, status, err := reap()
		if err == syscall.ECHILD {
			// Nothing runs between the end of the last process and its restart.
			time.Sleep(socketPoll)
			continue
		}
		if err != nil {
			return 1
		}
		node.ended(pid, status)
	}
}

type nodeInit struct {
	mutex   sync.Mutex
	running map[int]process
}

func (n *nodeInit) start(what process, delay time.Duration) {
	go func() {
		time.Sleep(delay)
		waitForSocket(what.After)
		// The lock spans fork and bookkeeping, so ended() never sees a pid it does not know.
		n.mutex.Lock()
		defer n.mutex.Unlock()
		pid, err := spawn(what.Command, what.Log, "/")
		if err != nil {
			fmt.Fprintf(os.Stderr, "node-init: %s: %v\n", what.Name, err)
			n.start(what, restartDelay)
			return
		}
		n.running[pid] = what
	}()
}

func (n *nodeInit) ended(pid int, status syscall.WaitStatus) {
	n.mutex.Lock()
	what, ours := n.running[pid]
	delete(n.running, pid)
	n.mutex.Unlock()
	if !ours {
		return
	}
	fmt.Fprintf(os.Stderr, "node-init: %s ended (%d), starting it again\n", what.Name, exitCode(status))
	n.start(what, restartDelay)
}

func waitForSocket(path string) {
	if path == "" {
		return
	}
	for end := time.Now().Add(socketLimit); time.Now().Before(end); time.Sleep(socketPoll) {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return
		}
	}
}
