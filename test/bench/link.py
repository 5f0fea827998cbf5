#!/usr/bin/env python3
"""A link with a round trip and a rate, for kernels without netem: link.py NEAR FAR ROUND-TRIP-MS BITS-PER-SECOND

Makes two TUN devices in the network namespace it runs in (the caller moves FAR to the other one and gives addresses) and
carries packets between them. Each way delays by half the round trip and sends at the rate, from a queue that holds one
round trip's worth and drops what does not fit: TCP meets it like any router. Prints `ready`; ends when stdin does.
"""
import fcntl, os, select, struct, sys, time
from collections import deque

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02
VNET_HDR = 10
BATCH = 64  # packets read from one side before the other is looked at again


def tun(name, offload):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if offload:
        fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    return device


class Way:
    """One direction: when a packet has left the wire, and when it arrives."""

    def __init__(self, source, target, delay, rate, header):
        self.source, self.target, self.delay, self.header = source, target, delay, header
        self.per_byte = 8 / rate
        self.longest_wait = max(2 * delay, 65536 * self.per_byte)
        self.free_at = 0.0
        self.flying = deque()

    def take(self, now):
        for _ in range(BATCH):
            try:
                packet = os.read(self.source, 65600)
            except BlockingIOError:
                return
            begin = max(now, self.free_at)
            if begin - now > self.longest_wait:
                continue
            self.free_at = begin + (len(packet) - self.header) * self.per_byte
            self.flying.append((self.free_at + self.delay, packet))

    def deliver(self, now):
        while self.flying and self.flying[0][0] <= now:
            try:
                os.write(self.target, self.flying.popleft()[1])
            except OSError:
                pass  # a device that is not up yet, or a full one: lost, as on any wire


def main():
    near_name, far_name, round_trip, rate = sys.argv[1:]
    # above what Python carries packet by packet, the kernel hands over runs of packets whole
    offload = float(rate) > 200e6
    near, far = tun(near_name, offload), tun(far_name, offload)
    delay = float(round_trip) / 2000
    ways = [Way(a, b, delay, float(rate), VNET_HDR if offload else 0) for a, b in ((near, far), (far, near))]
    print("ready", flush=True)
    # epoll takes whole milliseconds and more; select is precise enough for the time between two packets
    while True:
        due = min((way.flying[0][0] for way in ways if way.flying), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select([near, far, 0], [], [], wait)
        if 0 in readable and not os.read(0, 1):
            return
        now = time.monotonic()
        for way in ways:
            if way.source in readable:
                way.take(now)
        for way in ways:
            way.deliver(time.monotonic())


main()
