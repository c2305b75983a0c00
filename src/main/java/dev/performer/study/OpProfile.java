package dev.performer.study;

import static dev.performer.study.Table.format;

import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.tensorflow.proto.DeviceStepStats;
import org.tensorflow.proto.NodeExecStats;
import org.tensorflow.proto.NodeOutput;
import org.tensorflow.proto.RunMetadata;
import org.tensorflow.proto.TensorShapeProto;

/**
 * Where the time of a run goes, by TensorFlow's trace: milliseconds of ops, which overlap where
 * several run at once, so that their sum may exceed the run's.
 *
 * @param runMs of a traced run; the least of several, as all times
 * @param nodes executed
 * @param allocatedMb of the outputs of all ops, in 10^6 bytes
 * @param faults pages that the process touched for the first time in that run
 * @param groups by kind of op
 * @param dearest nodes, the dearest first
 */
record OpProfile(
    double runMs,
    int nodes,
    double allocatedMb,
    long faults,
    Map<Group, Share> groups,
    List<Node> dearest) {
  private static final int RUNS = 8;
  private static final int DEAREST = 12;

  /** By work of one open case. */
  record All(Map<String, OpProfile> profiles) {}

  /** Milliseconds of ops, and how many there were. */
  record Share(double ms, int ops) {
    Share plus(double more) {
      return new Share(ms + more, ops + 1);
    }
  }

  /** One executed op. @param shapes of its outputs */
  record Node(String name, String type, String shapes, double ms, double outputMb) {
    Node faster(Node other) {
      return ms <= other.ms ? this : other;
    }

    Node again(Node other) {
      return new Node(name, type, shapes, ms + other.ms, outputMb + other.outputMb);
    }
  }

  /** Kinds of ops. */
  enum Group {
    MATMUL("matmul"),
    EXP("exp"),
    ELEMENT_WISE("element-wise"),
    REDUCTION("reductions"),
    COPY("copies"),
    REST("rest");

    final String label;

    Group(String label) {
      this.label = label;
    }

    private static final Set<String> EXPONENTIALS =
        Set.of(("exp expm1 softmax logsoftmax erf tanh sigmoid log gelu").split(" "));
    private static final Set<String> COPIES =
        Set.of(
            ("transpose concat concatv2 slice stridedslice stridedslicegrad pad padv2 split "
                    + "splitv pack unpack tile gather gatherv2 snapshot copy broadcastto fill "
                    + "zeroslike oneslike cast matrixbandpart reverse reversev2 resourcegather "
                    + "deepcopy tensorstridedsliceupdate invertpermutation conjugatetranspose")
                .split(" "));
    private static final Set<String> REDUCTIONS =
        Set.of(
            ("sum max min mean prod cumsum cumprod all any argmax biasaddgrad "
                    + "unsortedsegmentsum l2loss")
                .split(" "));
    private static final Set<String> REST_TYPES =
        Set.of(
            ("const readvariableop varhandleop identity identityn noop shape reshape "
                    + "expanddims squeeze shapen size rank range _arg _retval _recv _send _hostrecv "
                    + "_hostsend placeholder _source _sink broadcastgradientargs assert "
                    + "partitionedcall statefulpartitionedcall while if merge switch enter exit "
                    + "nextiteration loopcond assignvariableop _xlacompile _xlarun")
                .split(" "));

    /** Of an op's type, fused and oneDNN's ones included. */
    static Group of(String type) {
      String plain =
          type.toLowerCase(Locale.ROOT).replaceFirst("^_?(mkl|onednn)?_?(native)?(fused)?", "");
      if (plain.contains("matmul") || plain.contains("einsum") || plain.contains("conv2d")) {
        return MATMUL;
      }
      String whole = type.toLowerCase(Locale.ROOT);
      if (EXPONENTIALS.contains(plain)) {
        return EXP;
      }
      if (COPIES.contains(plain)) {
        return COPY;
      }
      if (REDUCTIONS.contains(plain)) {
        return REDUCTION;
      }
      return whole.isEmpty() || REST_TYPES.contains(whole) || REST_TYPES.contains(plain)
          ? REST
          : ELEMENT_WISE;
    }
  }

  /** Of some traced runs: the least time of each node, since what is more is other work's doing. */
  static OpProfile of(InTurns.Work work) {
    Map<String, Node> nodes = new LinkedHashMap<>();
    double runMs = Double.MAX_VALUE;
    long faults = Long.MAX_VALUE;
    for (int run = 0; run <= RUNS; run++) {
      long before = Laps.faults();
      long start = System.nanoTime();
      RunMetadata trace = work.traced();
      if (run > 0) { // the first is slower
        runMs = Math.min(runMs, (System.nanoTime() - start) / 1e6);
        faults = Math.min(faults, Laps.faults() - before);
        nodes(trace).forEach((name, node) -> nodes.merge(name, node, Node::faster));
      }
    }
    return of(nodes.values(), runMs, faults);
  }

  private static OpProfile of(Collection<Node> nodes, double runMs, long faults) {
    Map<Group, Share> groups = new EnumMap<>(Group.class);
    for (Node node : nodes) {
      groups.merge(Group.of(node.type), new Share(node.ms, 1), (old, one) -> old.plus(one.ms));
    }
    double mb = nodes.stream().mapToDouble(Node::outputMb).sum();
    var dearest = nodes.stream().sorted(Comparator.comparingDouble(Node::ms).reversed());
    return new OpProfile(runMs, nodes.size(), mb, faults, groups, dearest.limit(DEAREST).toList());
  }

  /** What one trace has executed, by name; a node that ran several times, in a loop, once. */
  static Map<String, Node> nodes(RunMetadata trace) {
    Map<String, Node> nodes = new LinkedHashMap<>();
    for (DeviceStepStats device : trace.getStepStats().getDevStatsList()) {
      for (NodeExecStats stats : device.getNodeStatsList()) {
        double ms = (stats.getOpEndRelNanos() - stats.getOpStartRelNanos()) / 1e6;
        double bytes = 0;
        StringBuilder shapes = new StringBuilder();
        for (NodeOutput output : stats.getOutputList()) {
          var tensor = output.getTensorDescription();
          bytes += tensor.getAllocationDescription().getRequestedBytes();
          shapes.append(shapes.length() == 0 ? "" : ", ").append(shape(tensor.getShape()));
        }
        Node node = new Node(stats.getNodeName(), type(stats), shapes.toString(), ms, bytes / 1e6);
        nodes.merge(node.name, node, Node::again);
      }
    }
    return nodes;
  }

  private static String shape(TensorShapeProto shape) {
    return shape.getDimList().stream()
        .map(d -> Long.toString(d.getSize()))
        .collect(Collectors.joining(",", "[", "]"));
  }

  /** {@code name = Type(inputs)}. */
  private static String type(NodeExecStats stats) {
    String label = stats.getTimelineLabel();
    int from = label.indexOf(" = ");
    int to = label.indexOf('(', Math.max(0, from));
    return from < 0 || to < 0 ? "" : label.substring(from + 3, to);
  }

  double opsMs() {
    return groups.values().stream().mapToDouble(Share::ms).sum();
  }

  /** Groups in a row for each work, then the dearest nodes of each. @param label of the case */
  static String table(String label, Map<String, OpProfile> profiles) {
    StringBuilder text = new StringBuilder("## " + label + "\n\n");
    String columns = "run | ms | ops ms";
    for (Group group : Group.values()) {
      columns += " | " + group.label;
    }
    Table table = new Table(columns + " | ops | MB of outputs | page faults");
    profiles.forEach((name, profile) -> table.row(name + profile.cells()));
    text.append(table);
    profiles.forEach((name, profile) -> text.append(profile.dearest(name)));
    return text.toString();
  }

  private String cells() {
    StringBuilder cells = new StringBuilder(format(" | %.2f | %.2f", runMs, opsMs()));
    for (Group group : Group.values()) {
      Share share = groups.getOrDefault(group, new Share(0, 0));
      cells.append(format(" | %.2f, %.0f %%", share.ms, 100 * share.ms / opsMs()));
    }
    return cells + format(" | %d | %.1f | %d", nodes, allocatedMb, faults);
  }

  private String dearest(String name) {
    Table table = new Table("dearest nodes of " + name + " | op | outputs | ms | MB of outputs");
    for (Node node : dearest) {
      String what = node.name + " | " + node.type + " | " + node.shapes;
      table.row(what + format(" | %.3f | %.1f", node.ms, node.outputMb));
    }
    return "\n" + table;
  }
}
