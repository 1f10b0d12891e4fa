-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- CPU feature names, as Linux prints them in /proc/cpuinfo, and their CPUID bits
-- (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E).

-- One line a register: leaf, subleaf, register, then the names from bit 0 up ("." for none).
local REGISTERS = {
    { 1, 0, "edx", [[fpu vme de pse tsc msr pae mce cx8 apic . sep mtrr pge mca cmov
        pat pse36 pn clflush . dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe]] },
    { 1, 0, "ecx", [[pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma
        cx16 xtpr pdcm . pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes
        xsave osxsave avx f16c rdrand hypervisor]] },
    { 6, 0, "eax", "dtherm ida arat . pln . pts" },
    { 7, 0, "ebx", [[fsgsbase tsc_adjust sgx bmi1 hle avx2 . smep bmi2 erms invpcid rtm cqm
        . mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma . clflushopt clwb intel_pt
        avx512pf avx512er avx512cd sha_ni avx512bw avx512vl]] },
    { 7, 0, "ecx", [[. avx512vbmi umip pku ospke waitpkg avx512_vbmi2 . gfni vaes vpclmulqdq
        avx512_vnni avx512_bitalg tme avx512_vpopcntdq . la57 . . . . . rdpid . bus_lock_detect
        cldemote . movdiri movdir64b enqcmd sgx_lc]] },
    { 7, 0, "edx", [[. . avx512_4vnniw avx512_4fmaps fsrm . . . avx512_vp2intersect . md_clear
        . . . serialize . tsxldtrk . pconfig arch_lbr . ibt amx_bf16 avx512_fp16 amx_tile
        amx_int8 . . flush_l1d arch_capabilities]] },
    { 7, 1, "eax", ". . . . avx_vnni avx512_bf16" },
    { 0xd, 1, "eax", "xsaveopt xsavec xgetbv1 xsaves" },
    { 0x80000001, 0, "edx", [[. . . . . . . . . . . syscall . . . . . . . mp nx .
        mmxext . . fxsr_opt pdpe1gb rdtscp . lm 3dnowext 3dnow]] },
    { 0x80000001, 0, "ecx", [[lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse
        3dnowprefetch osvw ibs xop skinit wdt . lwp fma4 tce . nodeid_msr . tbm topoext
        perfctr_core perfctr_nb . bpext ptsc perfctr_llc mwaitx]] },
    { 0x80000007, 0, "edx", ". . . . . . . hw_pstate constant_tsc" },
    { 0x80000008, 0, "ebx", "clzero irperf xsaveerptr . rdpru . . . . wbnoinvd" },
    { 0x40000001, 0, "eax", [[kvmclock kvm_nop_io_delay kvm_mmu kvmclock2 kvm_asyncpf
        kvm_steal_time kvm_pv_eoi kvm_pv_unhalt . kvm_pv_tlb_flush kvm_asyncpf_vmexit
        kvm_pv_ipi kvm_poll_control kvm_pv_sched_yield kvm_asyncpf_int kvm_msi_ext_dest_id]] },
}

-- What a feature is no use without: the one on the left, those on the right. Rows build on
-- rows above them.
local NEEDED_BY = {
    { "xsave", "osxsave avx pku xsaveopt xsavec xgetbv1 xsaves amx_tile" },
    { "avx", "avx2 fma f16c vaes vpclmulqdq xop fma4" },
    { "avx2", "avx512f avx_vnni" },
    { "avx512f", [[avx512dq avx512ifma avx512pf avx512er avx512cd avx512bw avx512vl avx512vbmi
        avx512_vbmi2 avx512_vnni avx512_bitalg avx512_vpopcntdq avx512_4vnniw avx512_4fmaps
        avx512_vp2intersect avx512_bf16 avx512_fp16]] },
    { "pku", "ospke" },
    { "amx_tile", "amx_bf16 amx_int8" },
}

-- name -> {leaf=, index=, register=, bit=}
local bits = {}
for _, row in ipairs(REGISTERS) do
    local bit = 0
    for name in row[4]:gmatch "%S+" do
        if name ~= "." then
            bits[name] = { leaf = row[1], index = row[2], register = row[3], bit = bit }
        end
        bit = bit + 1
    end
end

-- An array of {name, needed}, in an order that lets one pass see to all.
local needs = {}
for _, row in ipairs(NEEDED_BY) do
    for name in row[2]:gmatch "%S+" do
        needs[#needs + 1] = { name, row[1] }
    end
end

return { bits = bits, needs = needs }
