/* SPDX-License-Identifier: Apache-2.0 */
/* Frames in byte queues. Contract: vm/frame.h; format: posada/agent.h. */
#include "vm/frame.h"

#include "base/endian.h"
#include <assert.h>
#include <errno.h>

int frame_put(struct buf *out, unsigned type, unsigned channel, const void *data, size_t len)
{
    uint8_t header[FRAME_HEADER] = {(uint8_t)type};
    int r;

    assert(len <= AGENT_MAX_PAYLOAD && channel < AGENT_CHANNELS);
    st_le16(header + 2, (uint16_t)channel);
    st_le32(header + 4, (uint32_t)len);
    r = buf_append(out, header, sizeof(header));
    if (r < 0)
        return r;
    r = buf_append(out, data, len);
    if (r < 0)
        out->len -= sizeof(header); /* half a frame would break the stream */
    return r;
}

int frame_put_u32(struct buf *out, unsigned type, unsigned channel, uint32_t value)
{
    uint8_t data[4];

    st_le32(data, value);
    return frame_put(out, type, channel, data, sizeof(data));
}

int frame_peek(const struct buf *in, struct frame *ret)
{
    const uint8_t *p = buf_data(in);
    uint32_t len;

    if (in->len < FRAME_HEADER)
        return 0;
    len = ld_le32(p + 4);
    if (len > AGENT_MAX_PAYLOAD || p[1] != 0 || ld_le16(p + 2) >= AGENT_CHANNELS)
        return -EPROTO;
    if (in->len < FRAME_HEADER + len)
        return 0;
    *ret = (struct frame){p[0], ld_le16(p + 2), p + FRAME_HEADER, len};
    return 1;
}

void frame_drop(struct buf *in, const struct frame *f)
{
    buf_consume(in, FRAME_HEADER + f->len);
}

bool frame_u32(const struct frame *f, uint32_t *ret)
{
    if (f->len != 4)
        return false;
    *ret = ld_le32(f->data);
    return true;
}
