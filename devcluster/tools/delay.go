package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	frameLimit = 1<<16 + 256 // a segment before it is cut, and its headers
	// Frames on their way, in each direction; more are lost, as in a router with a full queue.
	queueLimit = 4096
	roomForGSO = 8 << 20

	// Of headers that the standard library does not have.
	tunSetIff       = 0x400454ca
	tunSetOffload   = 0x400454d0
	tunOffloads     = 0x1 | 0x2 | 0x4 // checksums, segmentation of TCP over IPv4 and IPv6
	iffVnetHdr      = 0x4000
	packetVnetHdr   = 15
	packetIgnoreOut = 23
)

// runDelay takes the place of a node's interface at the bridge and hands every frame on, both
// ways, a while later: this kernel may have no netem. Checksums and segmentation are left to the
// kernel: both ends carry them with the frame, in the same header.
func runDelay(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: delay INTERFACE BRIDGE TAP MILLISECONDS")
	}
	name, bridge, tapName := args[0], args[1], args[2]
	ms, err := strconv.Atoi(args[3])
	if err != nil {
		return fmt.Errorf("delay: %q is no number of milliseconds", args[3])
	}
	cable, err := openPacket(name)
	if err != nil {
		return fmt.Errorf("delay: %s: %w", name, err)
	}
	tap, err := openTap(tapName)
	if err != nil {
		return fmt.Errorf("delay: /dev/net/tun: %w", err)
	}
	// The interface alone would answer for the addresses of this namespace.
	for _, command := range []string{
		"link set " + name + " nomaster arp off",
		"link set " + tapName + " master " + bridge + " up",
	} {
		if said, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("delay: ip %s: %s", command, said)
		}
	}
	delay := time.Duration(ms) * time.Millisecond
	ended := make(chan error, 2)
	go func() { ended <- carry(cable, tap, delay) }()
	go func() { ended <- carry(tap, cable, delay) }()
	return fmt.Errorf("delay: %w", <-ended)
}

func openPacket(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	protocol := make([]byte, 2)
	binary.BigEndian.PutUint16(protocol, syscall.ETH_P_ALL)
	everything := binary.NativeEndian.Uint16(protocol)
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, int(everything))
	if err != nil {
		return 0, err
	}
	for _, option := range []struct{ level, name, value int }{
		{syscall.SOL_PACKET, packetVnetHdr, 1},
		{syscall.SOL_PACKET, packetIgnoreOut, 1},
		{syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, roomForGSO},
	} {
		if err := syscall.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return 0, err
		}
	}
	address := &syscall.SockaddrLinklayer{Protocol: everything, Ifindex: link.Index}
	return fd, syscall.Bind(fd, address)
}

func openTap(name string) (int, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_TAP | syscall.IFF_NO_PI | iffVnetHdr}
	copy(request.name[:syscall.IFNAMSIZ-1], name)
	if err := ioctl(fd, tunSetIff, uintptr(unsafe.Pointer(&request))); err != nil {
		return 0, err
	}
	return fd, ioctl(fd, tunSetOffload, tunOffloads)
}

func ioctl(fd int, request, argument uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, argument); errno != 0 {
		return errno
	}
	return nil
}

type frame struct {
	due   time.Time
	bytes []byte
}

// carry copies frames of one direction until reading fails, which it does when an end is gone.
func carry(from, to int, delay time.Duration) error {
	queue := make(chan frame, queueLimit)
	defer close(queue)
	go deliver(queue, to)
	buffer := make([]byte, frameLimit)
	for {
		count, err := syscall.Read(from, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		select {
		case queue <- frame{time.Now().Add(delay), slices.Clone(buffer[:count])}:
		default:
		}
	}
}

func deliver(queue <-chan frame, to int) {
	for each := range queue {
		time.Sleep(time.Until(each.due))
		// A frame that cannot be sent is lost, as on any cable.
		_, _ = syscall.Write(to, each.bytes)
	}
}
