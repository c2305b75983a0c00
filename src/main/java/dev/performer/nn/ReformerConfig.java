package dev.performer.nn;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.Optional;

/**
 * How Reformer's attention looks for keys. Nothing here follows from the length of a sequence, so
 * that padding changes nothing; Reformer's authors take twice as many buckets as there are chunks.
 *
 * @param buckets that positions fall into by random rotations: an even number; 1 puts all into one,
 *     which leaves a window of chunks
 * @param chunk C, positions that are compared with each other and with those of the chunk before
 * @param rounds of hashing, each with rotations of its own
 * @param seed of the rotations; where one description stands for all layers, layer i has seed + i
 */
public record ReformerConfig(int buckets, int chunk, int rounds, long seed) {
  /** What is compared where nothing else is chosen: chunks of 64, right for 2,048 positions. */
  public static final ReformerConfig DEFAULT = new ReformerConfig(64, 64, 2, 0);

  public ReformerConfig {
    boolean isEven = buckets == 1 || buckets >= 2 && buckets % 2 == 0;
    require(isEven, "reformer.buckets must be 1 or an even number, not %d", buckets);
    require(chunk >= 1, "reformer.chunk must be 1 or more, not %d", chunk);
    require(rounds >= 1, "reformer.rounds must be 1 or more, not %d", rounds);
  }

  /** Of keys, null where one is absent. */
  @JsonCreator
  static ReformerConfig of(
      @JsonProperty("buckets") Integer buckets,
      @JsonProperty("chunk") Integer chunk,
      @JsonProperty("rounds") Integer rounds,
      @JsonProperty("seed") Long seed) {
    return new ReformerConfig(
        buckets == null ? DEFAULT.buckets : buckets,
        chunk == null ? DEFAULT.chunk : chunk,
        rounds == null ? DEFAULT.rounds : rounds,
        seed == null ? DEFAULT.seed : seed);
  }

  /** The same as layer {@code i} has it: with the seed of its own rotations. */
  public ReformerConfig ofLayer(int layer) {
    return new ReformerConfig(buckets, chunk, rounds, seed + layer);
  }

  /** Directions of all rounds: each and its opposite are two buckets. */
  public int directions() {
    return Math.multiplyExact(rounds, buckets / 2);
  }

  /** Draws the directions, {@code [rounds·buckets/2, D]}; empty where all is one bucket. */
  public Optional<ProjectionMatrix> draw(int headSize) {
    if (directions() == 0) {
      return Optional.empty();
    }
    var gaussian = new Projection(directions(), headSize, Directions.IID, Lengths.CHI);
    return Optional.of(new ProjectionMatrix(gaussian.draw(seed), directions(), headSize));
  }
}
