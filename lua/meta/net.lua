---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The API of networks: the option net of vmm.vm, links between VMs, and the building blocks.

---One device of vmm.vm{ net = { {...}, ... } }: one of user, tap, link and backend.
---@class vmm.config.net
---@field user? boolean      a network of its own by libslirp: the guest is 10.0.2.15 (DHCP), the host
---10.0.2.2, DNS 10.0.2.3
---@field forward? string    of user: "tcp:8080-80,udp:0.0.0.0:53-10.0.2.15:53"; the host's address is
---127.0.0.1, the guest's 10.0.2.15 when none is given
---@field restrict? boolean  of user: the guest reaches nothing, only forwards come in
---@field tap? string        the host's interface; "tap%d" numbers it
---@field link? string       the name of a link of this process, made when there is none
---@field backend? { send: fun(frame: string) }  functions in Lua: send is called on the script's thread
---with each frame of the guest's, nic:receive gives it one. Both ways are bounded (512 KiB); frames
---that the script does not take for 200 ms are dropped, no vCPU waits
---@field mac? string        "52:54:00:12:34:56"; a random one
---@field mtu? integer       told to the guest
---@field pcap? string       a file that gets all its frames, up to 1 GiB
---@field rx_bandwidth? integer  bytes a second that the guest receives at the most; 0: no limit
---@field tx_bandwidth? integer  that it sends
---@field rx_packets? integer    packets a second, likewise
---@field tx_packets? integer
---@field burst? number       how many seconds' worth of them may come at once, after a rest (1)

---@class vmm.vm
---@field nics? vmm.nic[]  of vmm.vm with net, in its order

---A network device of a machine.
---@class vmm.nic
---@field backend "user"|"tap"|"link"|"lua"
---@field mac string
---@field tap? string  the interface's name
local nic = {}
---Plugs the cable in (true), as it is from the start, or pulls it; the guest is told.
---@param up boolean
function nic:set_link(up) end
---queues: pairs of them; active: how many the guest's driver uses, 0 before it is ready.
---@return { mac: string, backend: string, link: boolean, queues: integer, active: integer, rx_frames: integer, rx_bytes: integer, rx_dropped: integer, tx_frames: integer, tx_bytes: integer, tx_dropped: integer }
function nic:stats() end
---Of a backend in Lua: gives the guest a frame of 14 to 65553 bytes, without a checksum; true, though a
---guest without a driver gets nothing.  timeout: seconds to wait while the queue is full; nil: none.
---@param frame string
---@param timeout? number
---@return true? ok, string? message, "EAGAIN"|"timeout"|"closed"|nil code
function nic:receive(frame, timeout) end

---Limits what it may receive and send from now on: what is not named stays as it is, 0 is no limit.  A
---guest's frames wait in its queue; those for it in the backend, which drops when it is full.
---@param options? { rx_bandwidth?: integer, tx_bandwidth?: integer, rx_packets?: integer, tx_packets?: integer, burst?: number }
---@return { rx_bandwidth: integer, tx_bandwidth: integer, rx_packets: integer, tx_packets: integer, burst: number }
function nic:limit(options) end
---Frames meet a fault from now on, which takes the place of an earlier one in the same direction.  By
---chance, from 0 to 1 each: drop; duplicate; corrupt (one bit is another); reorder (it comes after
---the next, or 100 ms late); and late: every frame by delay_ms plus up to jitter_ms.  The same frames
---in the same order meet the same fate for a seed (1).  Or a function says what becomes of each: a
---frame waits until the script comes to answer; no vCPU does.  Up to 4096 frames (4 MiB) are held in
---a direction, more are dropped.
---@param what vmm.net_fault_options | fun(frame: string, direction: "tx"|"rx"): vmm.net_fault_answer
---@return vmm.net_fault? fault, string? message, string? code
function nic:fault(what) end
---Ends its faults; what is delayed still comes.  Idempotent.
function nic:heal() end

---direction: of a nic, as its guest sees it: "tx", "rx", or "both".  [1]: a function, and nothing else
---beside it but the direction.
---@alias vmm.net_fault_options { drop?: number, duplicate?: number, corrupt?: number, reorder?: number, delay_ms?: number, jitter_ms?: number, seed?: integer, direction?: "tx"|"rx"|"both", [1]?: function }
---nil: it passes.
---@alias vmm.net_fault_answer nil | false | "drop" | "duplicate" | "corrupt" | "reorder" | { drop?: boolean, duplicate?: boolean, corrupt?: boolean, reorder?: boolean, delay_ms?: number }

---What makes a network unreliable.
---@class vmm.net_fault
local net_fault = {}
---Ends it; what is delayed still comes.  Idempotent.
function net_fault:remove() end
---What it has judged, and what became of it.  overflowed: dropped, for too many were held.
---@return { frames: integer, dropped: integer, duplicated: integer, corrupted: integer, reordered: integer, delayed: integer, overflowed: integer }
function net_fault:stats() end

---A fault, for the building blocks: virtio:net_fault(fault, "tx" | "rx").  It ends when it is
---collected.
---@param options vmm.net_fault_options
---@return vmm.net_fault? fault, string? message, string? code
function vmm.net_fault(options) end

---The link of a name, made when there is none: a hub for the VMs of this process.  Between two ports
---nothing is lost while the receiver takes frames at all; of more, one that is full misses some.
---pcap: a new link's capture file, up to pcap_bytes (1 GiB).
---@param options { name: string, pcap?: string, pcap_bytes?: integer }
---@return vmm.link? link, string? message, string? code  "EEXIST": pcap is given, but it is there
function vmm.link(options) end

---@class vmm.link
---@field name string
local link = {}
---@return { ports: integer, frames: integer, bytes: integer, dropped: integer }
function link:stats() end
---A port, for vmm.virtio_net.
---@return vmm.net? net, string? message, string? code
function link:port() end
---What its ports send meets a fault before any other port or the capture sees it: see nic:fault.
---@param what vmm.net_fault_options | fun(frame: string, direction: "tx"): vmm.net_fault_answer
---@return vmm.net_fault? fault, string? message, string? code
function link:fault(what) end
---Ends the link's fault; what is delayed still comes.  Idempotent.
function link:heal() end
---Joins the link in a guest's place; the link keeps the station until that is closed.
---@param receive fun(frame: string)  called on the script's thread with what other ports send
---@return vmm.station? station, string? message, string? code
function link:station(receive) end
---Forgets the name; what is connected stays so.
function link:close() end

---Lua code at the end of a network.
---@class vmm.station
local station = {}
---As nic:receive.
---@param frame string
---@param timeout? number
---@return true? ok, string? message, "EAGAIN"|"timeout"|"closed"|nil code
function station:send(frame, timeout) end
---Idempotent; also by <close>.
function station:close() end

---A station, for the building blocks, whose send never waits; not of a tap.
---@param net vmm.net
---@param receive fun(frame: string)
---@return vmm.station? station, string? message, string? code
function vmm.net_station(net, receive) end

---What a device may be connected to; the device takes it over.
---@class vmm.net

---@param options { forwards?: { udp?: boolean, host?: string, host_port: integer, guest?: string, guest_port: integer }[], restrict?: boolean, mtu?: integer }
---@return vmm.net? net, string? message, string? code  "ENOSYS": libslirp is not installed
function vmm.net_user(options) end

---@param options { name: string, queues?: integer }
---@return vmm.net? net, string name_or_message, string? code
function vmm.net_tap(options) end

---A network device, for vmm.virtio_mmio.
---@param options { vm: vmm.vm, net: vmm.net, mac?: string, mtu?: integer, pcap?: string, pcap_bytes?: integer }
---@return vmm.virtio? virtio, string? message, string? code
function vmm.virtio_net(options) end

---@class vmm.config
---@field net? (vmm.config.net|vmm.link)[]  a link stands for { link = its name }
