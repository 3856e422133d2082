/** A picture that comes with the page, and labels worth asking of it. */
export interface Example {
  readonly file: string;
  readonly shows: string;
  readonly labels: readonly string[];
}

/** Pictures of the kind that the demo model knows, out of its folder of examples; the first is shown on opening. */
export const EXAMPLES: readonly Example[] = [
  {
    file: "dog-and-banana.jpg",
    shows: "a dog and a banana",
    labels: ["a dog and a banana", "a fruit", "a dog", "two dogs", "a dog and an apple", "a car"],
  },
  {
    file: "two-cats.png",
    shows: "two cats",
    labels: ["2 cats", "a cat", "animals", "two dogs", "a plane", "a remote"],
  },
  {
    file: "three-birds.png",
    shows: "three birds",
    labels: ["3 birds", "2 birds", "1 bird", "a bird", "three fish"],
  },
  {
    file: "rocket-and-moon.png",
    shows: "a rocket and a moon",
    labels: ["a rocket and a full moon", "a rocket", "a star", "a rocket and a star", "three rockets"],
  },
  {
    file: "pizza.png",
    shows: "a pizza",
    labels: ["a pizza", "food", "a cake", "a hamburger", "a hot dog", "an animal"],
  },
  {
    file: "house-and-tree.jpg",
    shows: "a house and a tree",
    labels: ["a building", "a house and a tree", "a house and a car", "a castle and a tree", "two houses"],
  },
  {
    file: "guitar.jpg",
    shows: "a guitar",
    labels: ["a guitar", "a musical instrument", "a violin", "a drum", "a spoon"],
  },
  {
    file: "sunglasses-face.jpg",
    shows: "a face with sunglasses",
    labels: ["a smiling face with sunglasses", "a face", "a crying face", "an angry face", "the sun"],
  },
];
