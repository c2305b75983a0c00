package dev.performer.savedmodel.softmax;

import dev.performer.data.NpyArray;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.TensorNames;
import dev.performer.savedmodel.softmax.Site.NoMatch;
import dev.performer.savedmodel.softmax.Site.Wire;
import dev.performer.savedmodel.softmax.SiteMask.Factor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.proto.NodeDef;

/**
 * Reads which keys a site's queries see off the weights of samples, where products of queries and
 * keys are random numbers; finds the tensors that say so; and verifies that they say all of it.
 */
final class MaskReader {
  private static final Set<String> VALUELESS =
      Set.of("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike");
  private static final Set<String> INPUTS = Set.of("Placeholder", "PlaceholderWithDefault");
  private static final double TOLERANCE = 1e-4;
  private static final double FAR = 1e30; // in place of infinity
  private static final double NOTHING = 1e-30; // weight of a key that is not seen

  private final GraphIndex index;
  private final Samples samples;
  private final Walk walk;
  private final List<Map<String, NpyArray>> scores = new ArrayList<>();
  private final List<Map<String, NpyArray>> weights = new ArrayList<>();

  /** Runs the samples with random scores at all sites. */
  MaskReader(GraphIndex index, Samples samples, Walk walk, List<Site> sites) {
    this.index = index;
    this.samples = samples;
    this.walk = walk;
    Random random = new Random(7);
    for (int i = 0; i < samples.count(); i++) {
      Map<String, NpyArray> given = new TreeMap<>();
      for (Site site : sites) {
        NpyArray product = samples.value(site.product(), i);
        float[] values = new float[product.size()];
        for (int n = 0; n < values.length; n++) {
          values[n] = (float) random.nextGaussian();
        }
        given.put(site.product(), NpyArray.of(values, product.shape()));
      }
      scores.add(given);
      weights.add(
          samples.fetch(i, given, sites.stream().map(site -> site.weights().reference()).toList()));
    }
  }

  /** The mask of a site. @throws NoMatch if it is none that linear attention has */
  SiteMask read(Site site) throws NoMatch {
    List<Seen> seen = new ArrayList<>();
    for (int i = 0; i < samples.count(); i++) {
      seen.add(Seen.of(site, weights.get(i).get(site.weights().reference()), i));
    }
    boolean isCausal = seen.get(0).isTriangle();
    if (!isCausal && !seen.get(0).isWhole()) {
      throw new NoMatch("its mask, without padding, is neither causal nor open to all keys");
    }
    Search search = new Search(site, seen);
    for (Wire term : site.terms()) {
      search.visit(term);
    }
    SiteMask mask = new SiteMask(isCausal, search.factors);
    boolean isMasked = seen.stream().anyMatch(s -> s.hidesKeys());
    for (int i = 0; i < samples.count(); i++) {
      verify(site, mask, seen.get(i), i);
    }
    for (Wire term : site.terms()) {
      if (!isMasked && dependsOnInputs(term.reference())) {
        throw new NoMatch("its mask hid no key of the samples, so it could not be verified");
      }
    }
    return mask;
  }

  /** Whether values of inputs, not only their sizes, decide. */
  private boolean dependsOnInputs(String reference) {
    return index
        .reached(
            List.of(reference),
            node -> VALUELESS.contains(node.getOp()) ? List.of() : GraphIndex.dataInputs(node))
        .stream()
        .anyMatch(node -> INPUTS.contains(index.require(node, "a mask").getOp()));
  }

  /**
   * What the weights of one sample show, in the order batch, queries, keys.
   *
   * @param dead of each query, whether its weights are all alike: it sees no key
   */
  private record Seen(int rows, int queries, int keys, double[] weights, boolean[] dead) {
    static Seen of(Site site, NpyArray weights, int sample) {
      List<Atom> order = new ArrayList<>(site.batch());
      order.addAll(List.of(site.length(), site.keyLength()));
      double[] ordered = site.weights().axes().ordered(weights, order, sample);
      int keys = (int) site.keyLength().size(sample);
      int queries = (int) site.length().size(sample);
      boolean[] dead = new boolean[ordered.length / keys];
      for (int r = 0; r < dead.length; r++) {
        double least = ordered[r * keys];
        double most = least;
        for (int k = 0; k < keys; k++) {
          least = Math.min(least, ordered[r * keys + k]);
          most = Math.max(most, ordered[r * keys + k]);
        }
        dead[r] = !(most - least > 1e-6);
      }
      return new Seen(ordered.length / keys / queries, queries, keys, ordered, dead);
    }

    boolean sees(int row, int query, int key) {
      return weights[(row * queries + query) * keys + key] > NOTHING;
    }

    boolean isDead(int row, int query) {
      return dead[row * queries + query];
    }

    boolean isTriangle() {
      for (int i = 0; i < weights.length; i++) {
        if (weights[i] > NOTHING != (i % keys <= i / keys % queries)) {
          return false;
        }
      }
      return queries == keys;
    }

    boolean isWhole() {
      for (double weight : weights) {
        if (!(weight > NOTHING)) {
          return false;
        }
      }
      return true;
    }

    /** Whether some key is seen by no query, of those that see any. */
    boolean hidesKeys() {
      for (int i = 0; i < rows * keys; i++) {
        if (!isSeen(i / keys, i % keys)) {
          return true;
        }
      }
      return false;
    }

    /** Whether any query sees a key. */
    boolean isSeen(int row, int key) {
      for (int q = 0; q < queries; q++) {
        if (!isDead(row, q) && sees(row, q, key)) {
          return true;
        }
      }
      return false;
    }
  }

  /** Goes back from terms to the tensors that keep keys. */
  private final class Search {
    private final Site site;
    private final List<Seen> seen;
    private final List<Factor> factors = new ArrayList<>();
    private final Set<String> visited = new HashSet<>();

    Search(Site site, List<Seen> seen) {
      this.site = site;
      this.seen = seen;
    }

    void visit(Wire at) {
      boolean isOfKeys = at.axes().has(site.keyLength());
      if (!isOfKeys || !samples.has(at.reference()) || !visited.add(at.reference())) {
        return;
      }
      if (!at.axes().has(site.length())) {
        add(at);
        return;
      }
      NodeDef node = index.require(at.reference(), "a mask");
      if (isTriangle(at)) {
        return;
      }
      if (Walk.passes(node.getOp()) && inputs(node, at)) {
        return;
      }
      add(at);
    }

    /** Whether all inputs could be looked at. */
    private boolean inputs(NodeDef node, Wire at) {
      List<Wire> inputs = new ArrayList<>();
      for (int i = 0; i < Walk.operands(node); i++) {
        var axes = walk.back(node, i, at.axes());
        if (axes.isEmpty()) {
          return false;
        }
        inputs.add(new Wire(node.getInput(i), axes.get()));
      }
      inputs.forEach(this::visit);
      return true;
    }

    private boolean isTriangle(Wire at) {
      for (int s = 0; s < samples.count(); s++) {
        List<Atom> order = List.of(site.length(), site.keyLength());
        boolean isPlain = order.containsAll(at.axes().leaves());
        double[] values =
            isPlain ? at.axes().ordered(samples.value(at.reference(), s), order, s) : null;
        int keys = (int) site.keyLength().size(s);
        for (int i = 0; isPlain && i < values.length; i++) {
          boolean isBelow = i % keys <= i / keys;
          isPlain =
              isBelow ? values[i] == values[0] : values[i] == values[1] && values[1] != values[0];
        }
        if (!isPlain) {
          return false;
        }
      }
      return true;
    }

    /** Adds a tensor if it has one value at all keys that are seen, and another elsewhere. */
    private void add(Wire at) {
      double kept = Double.NaN;
      double other = Double.NaN;
      List<Atom> order = new ArrayList<>(site.batch());
      order.addAll(List.of(site.length(), site.keyLength()));
      if (order.size() > 3 && at.axes().has(site.batch().get(site.batch().size() - 1))) {
        return; // one mask for each head
      }
      for (int s = 0; s < samples.count(); s++) {
        Seen of = seen.get(s);
        double[] values = at.axes().ordered(samples.value(at.reference(), s), order, s);
        for (int i = 0; i < values.length; i++) {
          int row = i / of.keys / of.queries;
          boolean isSeen = of.isSeen(row, i % of.keys);
          if (isSeen && !(Double.isNaN(kept) || values[i] == kept)) {
            return;
          }
          kept = isSeen ? values[i] : kept;
        }
        for (double value : values) {
          boolean isNearer = !(Math.abs(value - kept) >= Math.abs(other - kept));
          other = value != kept && isNearer ? value : other;
        }
      }
      if (!Double.isNaN(kept) && !Double.isNaN(other)) {
        factors.add(
            new Factor(at.reference(), at.axes(), kept, Math.max(-FAR, Math.min(FAR, other))));
      }
    }
  }

  /** Weights must be those of masked softmax, in rows of queries that see any key. */
  private void verify(Site site, SiteMask mask, Seen seen, int sample) throws NoMatch {
    List<Atom> order = new ArrayList<>(site.batch());
    order.addAll(List.of(site.length(), site.keyLength()));
    NpyArray given = scores.get(sample).get(site.product());
    double[] raw = site.productAxes().ordered(given, order, sample);
    double scale = scale(site, sample);
    boolean[] keeps = new boolean[raw.length];
    Arrays.fill(keeps, true);
    for (Factor factor : mask.factors()) {
      double[] values =
          factor.axes().ordered(samples.value(factor.reference(), sample), order, sample);
      for (int i = 0; i < keeps.length; i++) {
        keeps[i] &= factor.keeps(values[i]);
      }
    }
    for (int i = 0; i < keeps.length; i++) {
      int row = i / seen.keys;
      keeps[i] &= !mask.causal() || i % seen.keys <= row % seen.queries;
      if (!seen.dead[row] && keeps[i] != (seen.weights[i] > NOTHING)) {
        throw new NoMatch("its mask is not one of keys, causal or not");
      }
    }
    for (int r = 0; r < seen.dead.length; r++) {
      double sum = 0;
      for (int i = r * seen.keys; i < (r + 1) * seen.keys; i++) {
        sum += keeps[i] ? Math.exp(scale * raw[i]) : 0;
      }
      for (int i = r * seen.keys; i < (r + 1) * seen.keys && !seen.dead[r]; i++) {
        double expected = keeps[i] ? Math.exp(scale * raw[i]) / sum : 0;
        if (!(Math.abs(expected - seen.weights[i]) < TOLERANCE)) {
          throw new NoMatch("a bias is added to its products, or its weights are changed");
        }
      }
    }
  }

  /** All factors of the product in one. */
  double scale(Site site, int sample) {
    double scale = 1;
    for (Site.Scale factor : site.scales()) {
      double value = Axes.doubles(samples.value(factor.reference(), sample))[0];
      scale *= factor.divides() ? 1 / value : value;
    }
    return scale;
  }

  /** Whether a scale is the same whatever goes in and is learnt. */
  boolean isConstant(Site site) {
    for (Site.Scale factor : site.scales()) {
      boolean isOpen =
          index.reached(List.of(factor.reference()), GraphIndex::dataInputs).stream()
              .map(node -> index.require(TensorNames.node(node), "a scale").getOp())
              .anyMatch(op -> INPUTS.contains(op) || op.equals("VarHandleOp"));
      if (isOpen) {
        return false;
      }
    }
    return true;
  }
}
