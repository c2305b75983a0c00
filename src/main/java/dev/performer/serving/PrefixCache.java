package dev.performer.serving;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * States of texts with which others may begin, in bounded memory: the least recently used go first.
 * One thread uses it; others may read {@link #bytes}.
 */
final class PrefixCache implements AutoCloseable {
  private final long most;
  private final Map<Key, TextState> texts = new LinkedHashMap<>(16, 0.75f, true);
  private final TreeMap<Integer, Integer> lengths = new TreeMap<>(); // how many texts have each
  private volatile long bytes;

  private record Key(int length, long hash) {}

  /**
   * @param most bytes; 0 keeps nothing
   */
  PrefixCache(long most) {
    this.most = most;
  }

  boolean isOff() {
    return most == 0;
  }

  long bytes() {
    return bytes;
  }

  /** The longest known beginning of a text, longer than some, for the caller to close; or null. */
  TextState longest(int[] text, int than) {
    if (lengths.isEmpty() || lengths.lastKey() <= than) {
      return null;
    }
    long[] hashes = hashes(text);
    for (int length : lengths.headMap(text.length, true).descendingKeySet()) {
      if (length <= than) {
        return null;
      }
      TextState found = texts.get(new Key(length, hashes[length]));
      if (found != null && found.begins(text)) {
        return found.share();
      }
    }
    return null;
  }

  /** Keeps a text, which stays its owner's, too. */
  void put(TextState text) {
    int[] ids = text.ids();
    Key key = new Key(ids.length, hashes(ids)[ids.length]);
    if (text.bytes() > most || texts.containsKey(key)) {
      return;
    }
    texts.put(key, text.share());
    lengths.merge(ids.length, 1, Integer::sum);
    bytes += text.bytes();
    var oldest = texts.entrySet().iterator();
    List<Key> gone = new ArrayList<>();
    for (long rest = bytes; rest > most; ) {
      var entry = oldest.next();
      gone.add(entry.getKey());
      rest -= entry.getValue().bytes();
    }
    gone.forEach(this::remove);
  }

  private void remove(Key key) {
    try (TextState text = texts.remove(key)) {
      bytes -= text.bytes();
    }
    lengths.computeIfPresent(key.length(), (length, count) -> count == 1 ? null : count - 1);
  }

  /** Of each beginning of a text, the empty one first. */
  private static long[] hashes(int[] ids) {
    long[] hashes = new long[ids.length + 1];
    for (int i = 0; i < ids.length; i++) {
      hashes[i + 1] = (hashes[i] + ids[i] + 1) * 0x9E3779B97F4A7C15L;
      hashes[i + 1] ^= hashes[i + 1] >>> 32;
    }
    return hashes;
  }

  @Override
  public void close() {
    new ArrayList<>(texts.keySet()).forEach(this::remove);
  }
}
