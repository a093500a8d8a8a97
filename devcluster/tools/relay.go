package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

const dialLimit = 5 * time.Second

// runRelay accepts on an inherited listening socket, whose network namespace is the host's,
// and copies to an address in the namespace that this process runs in.
func runRelay(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: relay FD ADDRESS")
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("relay: %q is no file descriptor", args[0])
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		return fmt.Errorf("relay: descriptor %d: %w", fd, err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		go relay(client.(*net.TCPConn), args[1])
	}
}

func relay(client *net.TCPConn, address string) {
	defer client.Close()
	upstream, err := net.DialTimeout("tcp", address, dialLimit)
	if err != nil {
		// A reset, not a silent close: clients then report "connection reset" at once.
		_ = client.SetLinger(0)
		return
	}
	defer upstream.Close()
	server := upstream.(*net.TCPConn)
	done := make(chan struct{}, 2)
	go pipe(server, client, done)
	go pipe(client, server, done)
	<-done
	<-done
}

// pipe copies one direction and passes the end of the stream on, as kubectl exec needs.
func pipe(to, from *net.TCPConn, done chan<- struct{}) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		_ = from.Close()
	}
	_ = to.CloseWrite()
	done <- struct{}{}
}
