package dev.performer.data;

import java.util.List;

/**
 * Several numbered sources as one: example {@code i} is the i-th of one of them, which of them
 * going round by their shares.
 *
 * @param parts as large as one another
 * @param shares how many of a round each has, at least 1
 */
public record MixedExamples(
    String name, List<? extends IndexedExamples> parts, List<Integer> shares)
    implements IndexedExamples {
  /** Copies the lists. */
  public MixedExamples {
    parts = List.copyOf(parts);
    shares = List.copyOf(shares);
    if (parts.isEmpty()
        || parts.size() != shares.size()
        || shares.stream().anyMatch(share -> share < 1)) {
      throw new IllegalArgumentException("expected as many shares, of at least 1, as parts");
    }
  }

  @Override
  public long size() {
    return parts.get(0).size();
  }

  @Override
  public Example get(long index) {
    long place = index % shares.stream().mapToLong(Integer::longValue).sum();
    int part = 0;
    while (place >= shares.get(part)) {
      place -= shares.get(part++);
    }
    return parts.get(part).get(index);
  }
}
