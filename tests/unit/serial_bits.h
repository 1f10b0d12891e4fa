/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The 16550A's registers and bits, as a guest names them. */
#ifndef SERIAL_BITS_H
#define SERIAL_BITS_H

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };
enum { DLL = RBR, DLM = IER };

enum {
    RX = 0x01,
    TX = 0x02,
    LINE = 0x04,
    MODEM = 0x08, /* IER */
    FIFOS = 0x01, /* FCR: on, trigger level 1 */
    CLEAR_RX = 0x02,
    CLEAR_TX = 0x04,
    LEVEL_4 = 0x40,
    LEVEL_8 = 0x80,
    LEVEL_14 = 0xc0,
    DTR = 0x01,
    RTS = 0x02,
    OUT1 = 0x04,
    OUT2 = 0x08,
    LOOP = 0x10, /* MCR */
    IDLE = 0x60, /* LSR: THRE and TEMT */
    DR = 0x01,
    OE = 0x02,
    BI = 0x10,
    FIFO_ERROR = 0x80,
};

#endif
