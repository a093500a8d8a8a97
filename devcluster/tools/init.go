package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// runInit is PID 1 of the cluster: it starts one command, passes signals on, reaps whatever is
// orphaned (containerd shims are) and ends with the command, which ends everything else.
func runInit(command []string) int {
	if len(command) == 0 {
		fail(fmt.Errorf("usage: init COMMAND ..."))
	}
	// Buffered for all that can come before the loop runs; signals are dropped, never queued.
	incoming := make(chan os.Signal, 8)
	signal.Notify(incoming, syscall.SIGINT, syscall.SIGTERM)
	child, err := spawn(command, "", "")
	if err != nil {
		fail(err)
	}
	go func() {
		for received := range incoming {
			_ = syscall.Kill(child, received.(syscall.Signal))
		}
	}()
	for {
		pid, status, err := reap()
		if err != nil {
			return 1
		}
		if pid == child {
			return exitCode(status)
		}
	}
}

// spawn starts a command without os/exec, whose own Wait would race with reap for its status.
// An empty log means the caller's own output.
func spawn(command []string, log, dir string) (int, error) {
	files := []uintptr{0, 1, 2}
	if log != "" {
		out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return 0, err
		}
		defer out.Close()
		files = []uintptr{0, out.Fd(), out.Fd()}
	}
	if log == "" {
		// Descriptors given to the cluster's first process (lock, listening socket) go through.
		files = append(files, inherited()...)
	}
	pid, err := syscall.ForkExec(command[0], command, &syscall.ProcAttr{
		Dir: dir, Env: os.Environ(), Files: files,
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", command[0], err)
	}
	return pid, nil
}

// inherited returns descriptors 3.. that were passed without close-on-exec, as an unbroken row.
func inherited() []uintptr {
	var fds []uintptr
	for fd := uintptr(3); ; fd++ {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0)
		if errno != 0 || flags&syscall.FD_CLOEXEC != 0 {
			return fds
		}
		fds = append(fds, fd)
	}
}

func reap() (int, syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != syscall.EINTR {
			return pid, status, err
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
