package dev.performer.server.http;

/** Memory that trees of JSON may take, all requests together: some texts of 3 bytes take 100. */
final class TreeMemory {
  private static final int VALUE = 32;
  private static final int OBJECT = 128;

  /** What one request has of it. */
  final class Share implements AutoCloseable {
    private long bytes;

    /**
     * Takes what the tree of a text may need.
     *
     * @throws Refusal of status 413 if that is more than there is, 429 if others have it now
     */
    synchronized void take(byte[] json) {
      long size = size(json);
      if (size > most) {
        String text = "the request's JSON would take %d MB of memory; this server has %d MB for it";
        throw new Refusal(413, text.formatted(size >> 20, most >> 20));
      }
      reserve(size);
      bytes += size;
    }

    @Override
    public synchronized void close() {
      free(bytes);
      bytes = 0;
    }
  }

  private final long most;
  private long used;

  TreeMemory(long most) {
    this.most = most;
  }

  Share share() {
    return new Share();
  }

  /** At least the memory of the tree: commas and brackets bound the values. */
  static long size(byte[] json) {
    long size = 2L * json.length + OBJECT;
    for (byte one : json) {
      size += one == ',' || one == ':' ? VALUE : one == '{' || one == '[' ? OBJECT : 0;
    }
    return size;
  }

  private synchronized void reserve(long bytes) {
    if (used + bytes > most) {
      throw new Refusal(429, "the server has no memory for more requests now; try again later");
    }
    used += bytes;
  }

  private synchronized void free(long bytes) {
    used -= bytes;
  }
}
